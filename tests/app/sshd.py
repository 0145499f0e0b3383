"""An sshd for tests: with keys of its own, on a port of the kernel's choice, without a daemon."""

import shutil
import socketserver
import subprocess


class Sshd(socketserver.ThreadingTCPServer):
    """`sshd -i` for each connection: the port is the kernel's choice."""
    daemon_threads = True

    def __init__(self, folder):
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        (folder / "sshd_config").write_text(
            f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\n"
            "UsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin yes\n"
            "Subsystem sftp internal-sftp\n"
            f"SetEnv HOME={folder}\n")  # no start files of whoever runs the test
        command = [shutil.which("sshd", path="/usr/sbin:/usr/bin"), "-i", "-e", "-f", str(folder / "sshd_config")]

        class Session(socketserver.BaseRequestHandler):
            def handle(self):
                subprocess.run(command, stdin=self.request, stdout=self.request, stderr=subprocess.DEVNULL)

        super().__init__(("127.0.0.1", 0), Session)


def ssh_flags(folder):
    """For a client that has the user's key of that folder."""
    return ("-F", "none", "-i", str(folder / "user"), "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
