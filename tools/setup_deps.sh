#!/usr/bin/env bash
# Builds OpenSSL 3.5 and ngtcp2 as static libraries, once per machine, from Debian's own source
# packages of newer suites, and unpacks beside them Debian's own libipsec-mb (AES-GCM on x86-64; a
# package of a newer suite, whose archive is machine code with nothing of that suite's libraries in
# it). Called by ./dev; prints progress on stderr and, as its only line on
# stdout, the prefix to use ("system" when the machine's own packages are new enough).
#
#   1. Is a prefix of this recipe there already? Then that is the answer (no network).
#   2. Write a private apt configuration under the cache: this machine's Debian source, with the
#      suite name changed and the type deb-src. Nothing under /etc is touched; apt still checks the
#      archive's signatures with the machine's debian-archive-keyring.
#   3. Take the newest version that the source lists *and* serves.
#   4. Build in a temporary directory, then move the finished tree into place.
#   5. Is libipsec-mb there, or was it looked for? Else unpack it. Nothing depends on it: without it
#      OpenSSL does its work, slower.
#
# Usage: setup_deps.sh [--refresh]     --refresh looks for newer versions even if a prefix exists.
set -euo pipefail

readonly kRecipe=3                      # raise when a build option below changes
readonly kOpensslSeries='3.5.'          # the LTS line
readonly kOpensslMin=3.5.0
readonly kOpensslWanted=3.5.8           # older is used only if nothing newer can be had
readonly kNgtcp2Min=1.22.0
readonly kOpensslSuites='trixie-security trixie-updates trixie'
readonly kNgtcp2Suites='trixie-backports testing unstable'
readonly kIpsecMbSuites='trixie-security trixie-updates trixie testing'  # Debian 12's own 1.3 has no VAES on 256-bit registers

cache="${XDG_CACHE_HOME:-$HOME/.cache}/qudag"
current="$cache/deps"                   # symlink to the prefix in use; CMake looks there too
jobs="$(nproc)"
patches="$(cd "$(dirname "${BASH_SOURCE[0]}")/deps" && pwd)"
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

# --- 1. what is there already ---------------------------------------------------------------------

is_built() { grep -qsx "recipe $kRecipe" "$current/.complete"; }
has_ipsec_mb() { [[ "$(uname -m)" != x86_64 ]] || grep -qs '^ipsec-mb ' "$current/.complete"; }

system_is_new_enough() {
  command -v pkg-config >/dev/null &&
    pkg-config --atleast-version="$kOpensslMin" libssl libcrypto 2>/dev/null &&
    pkg-config --atleast-version="$kNgtcp2Min" libngtcp2 2>/dev/null &&
    pkg-config --atleast-version="$kNgtcp2Min" libngtcp2_crypto_ossl 2>/dev/null
}

# --- 2. the private apt ---------------------------------------------------------------------------

# Lines "URI suite" for every binary or source entry of this machine's apt, both file forms.
machine_sources() {
  local f
  for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -r $f ]] && sed -E 's/#.*//' "$f" |
      sed -nE 's/^[[:space:]]*deb(-src)?[[:space:]]+(\[[^]]*\][[:space:]]*)?([^[:space:]]+)[[:space:]]+([^[:space:]]+).*/\3 \4/p'
  done
  for f in /etc/apt/sources.list.d/*.sources; do
    [[ -r $f ]] && awk '
      function flush(  i, j, nu, ns, u, s) {
        if (enabled) { nu = split(uris, u, " "); ns = split(suites, s, " ")
          for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++) print u[i], s[j] }
        uris = suites = ""; enabled = 1; field = "" }
      BEGIN { enabled = 1 }
      /^#/ { next }
      /^[ \t]*$/ { flush(); next }
      /^[ \t]/ { if (field == "uris") uris = uris " " $0; if (field == "suites") suites = suites " " $0; next }
      { field = tolower($1); sub(/:.*/, "", field); value = $0; sub(/^[^:]*:/, "", value)
        if (field == "uris") uris = value
        if (field == "suites") suites = value
        if (field == "enabled" && value ~ /no|false|0/) enabled = 0 }
      END { flush() }' "$f"
  done
  return 0
}

# The first URI whose suite matches the pattern.
source_uri() { machine_sources | awk -v want="$1" '$2 ~ want { print $1; exit }'; }

write_apt_source() {  # uri suite type
  printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$3" "$1" "$2" "$keyring"
}

write_apt_sources() {  # type suite...
  local type="$1" suite; shift
  for suite in "$@"; do
    if [[ $suite != *-security ]]; then write_apt_source "$main_uri" "$suite" "$type"
    elif [[ -n $security_uri ]]; then write_apt_source "$security_uri" "$suite" "$type"; fi
  done >"$apt_dir/qudag.sources"
}

setup_private_apt() {
  local codename
  codename="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")"
  [[ "$(. /etc/os-release && echo "$ID")" == debian ]] ||
    die "this machine is not Debian and its OpenSSL/ngtcp2 are too old (need >= $kOpensslMin and >= $kNgtcp2Min with crypto_ossl)"
  main_uri="$(source_uri "^($codename|stable)/?$")"
  security_uri="$(source_uri "^($codename|stable)-security/?$")"
  [[ -n $main_uri ]] || die "no Debian source for '$codename' in /etc/apt/sources.list or sources.list.d"
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [[ -r $keyring ]] || die "no $keyring: install the package debian-archive-keyring"

  apt_dir="$cache/apt"
  mkdir -p "$apt_dir"/{lists/partial,archives/partial,empty}
  write_apt_sources deb-src $kOpensslSuites $kNgtcp2Suites
  apt_options=(
    -o Dir::State="$apt_dir" -o Dir::State::Lists="$apt_dir/lists" -o Dir::Cache="$apt_dir"
    -o Dir::Etc::SourceList="$apt_dir/qudag.sources" -o Dir::Etc::SourceParts="$apt_dir/empty"
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$apt_dir/empty"
    -o Acquire::Retries=3 -o Acquire::Languages=none -o APT::Sandbox::User=root -q)
}

# A suite that the source does not carry is no error: what it lists is what we have.
update_private_apt() { retry 3 apt-get "${apt_options[@]}" update || true; }

# --- 3. versions that exist, newest first; downloads that work ------------------------------------

# Versions of a source package in one suite (its index file), newest first.
versions_in() {  # package suite
  local index
  for index in "$apt_dir"/lists/*_dists_"$2"_main_source_Sources*; do
    if [[ -r $index ]]; then
      /usr/lib/apt/apt-helper cat-file "$index" |
        awk -v p="$1" '/^Package: / { hit = ($2 == p) } hit && /^Version: / { print $2 }'
    fi
  done | sort_versions
}

sort_versions() {  # newest first, by Debian's own comparison
  local v list=() i
  while read -r v; do
    for ((i = 0; i < ${#list[@]}; i++)); do
      dpkg --compare-versions "$v" gt "${list[i]}" && break
    done
    list=("${list[@]:0:i}" "$v" "${list[@]:i}")
  done
  ((${#list[@]})) && printf '%s\n' "${list[@]}" | uniq
  return 0
}

openssl_candidates() {
  local suite v
  for suite in $kOpensslSuites; do versions_in openssl "$suite"; done |
    sort_versions | while read -r v; do
      if [[ $v == "$kOpensslSeries"* ]]; then echo "$v"; fi
    done
}

ngtcp2_candidates() {  # in the order of suites: the most settled first
  local suite v
  for suite in $kNgtcp2Suites; do
    versions_in ngtcp2 "$suite" | while read -r v; do
      if dpkg --compare-versions "$v" ge "$kNgtcp2Min"; then echo "$v"; fi
    done
  done | awk '!seen[$0]++'
}

# Downloads and unpacks (with Debian's patches) the first candidate that is really served.
fetch_source() {  # package candidates...; sets fetched_version, leaves the tree in $work/<package>
  local package="$1" v; shift
  for v in "$@"; do
    mkdir -p "$work/src"
    if try_step "$package $v: download" retry 3 env -C "$work/src" \
        apt-get "${apt_options[@]}" source "$package=$v"; then
      mv "$work"/src/*/ "$work/$package" && rm -rf "$work/src"
      fetched_version="$v"
      return 0
    fi
    say "  $package $v: listed, but not served here; trying the next"
    rm -rf "$work/src"
  done
  if grep -q 'is expired' "$log"; then
    say "  some lists of this mirror are out of date, and apt refuses them; a mirror that is frozen on"
    say "  purpose needs Acquire::Check-Valid-Until \"false\" in the machine's own apt configuration"
  fi
  die "no usable source package of $package (tried: ${*:-none listed}); log: $log"
}

# --- 4. build -------------------------------------------------------------------------------------

readonly kHardening='-fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fno-omit-frame-pointer'

# What runs per packet, cell or handshake is compiled with -O3: the primitives, the EVP calls around
# them and the providers. The rest (X.509, ASN.1, files of keys, ...) costs half the time with -O1.
readonly kOpensslHot='crypto/(aes|chacha|hmac|ml_dsa|ml_kem|modes|poly1305|rand|sha)/|crypto/[a-z0-9_]+\.c$'\
'|crypto/ec/curve25519\.c|crypto/evp/(digest|evp_enc|evp_lib|exchange|kdf_lib|kem|m_.*|signature)\.c'\
'|providers/implementations/(ciphers|digests|exchange|kdfs|kem|macs|rands)/'

# The compiler that does so; OpenSSL's build gives the source file last.
write_openssl_compiler() {
  cat >"$work/cc" <<SCRIPT
#!/bin/bash
hot='^($kOpensslHot)'
[[ "\${!#}" =~ \$hot ]] || set -- "\${@/#-O3/-O1}"
exec gcc "\$@"
SCRIPT
  chmod +x "$work/cc"
}

# TLS 1.3 for QUIC with ML-KEM, X25519 and ML-DSA, AES-GCM and ChaCha20-Poly1305, SHA-2, SHA-3, HKDF:
# what cannot be switched off stays, everything else goes. crypto and link have tests of all of it.
configure_openssl() {
  write_openssl_compiler
  cd "$work/openssl" || return
  CC="$work/cc" CFLAGS="-O3 $kHardening" ./config --prefix="$prefix" --libdir=lib \
    --openssldir="$prefix/ssl" no-shared no-tests no-apps no-docs no-makedepend \
    no-legacy no-module no-engine no-static-engine no-dso no-autoload-config no-ui-console \
    no-ssl3 no-tls1 no-tls1_1 no-tls1_2 no-dtls no-comp no-srp no-psk no-srtp no-nextprotoneg no-ktls \
    no-tfo no-ct no-http no-ocsp no-integrity-only-ciphers no-multiblock no-async no-thread-pool \
    no-gost no-cms no-cmp no-ts no-rfc3779 no-secure-memory no-argon2 no-aria no-bf no-blake2 \
    no-camellia no-cast no-cmac no-des no-dh no-dsa no-ec2m no-idea no-md4 no-mdc2 no-ocb no-rc2 \
    no-rc4 no-rmd160 no-scrypt no-seed no-siphash no-siv no-slh-dsa no-sm2 no-sm3 no-sm4 no-whirlpool
}
build_openssl() { make -C "$work/openssl" -j"$jobs" build_libs; }
install_openssl() { make -C "$work/openssl" DESTDIR="$work/root" install_dev; }

# ngtcp2 has no way to tell its congestion control which losses count; this adds the question that
# src/link/path/loss_judge.h answers. A newer version that it does not fit is built as it is.
patch_ngtcp2() {
  local patch=(patch --strip=1 --forward --directory="$work/ngtcp2" --input="$patches/ngtcp2-forgive-loss.patch")
  "${patch[@]}" --dry-run && "${patch[@]}"
}

configure_ngtcp2() {
  # No build type: ngtcp2's assertions stay on, as in Debian's own build.
  cmake -S "$work/ngtcp2" -B "$work/ngtcp2/build" -G Ninja -DCMAKE_BUILD_TYPE=None \
    -DCMAKE_C_FLAGS="-O3 $kHardening" -DCMAKE_CXX_FLAGS="-O3 $kHardening" \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_PREFIX="$prefix" \
    -DCMAKE_INSTALL_LIBDIR=lib -DENABLE_LIB_ONLY=ON -DENABLE_OPENSSL=ON -DENABLE_STATIC_LIB=ON \
    -DENABLE_SHARED_LIB=OFF -DBUILD_TESTING=OFF -DOPENSSL_ROOT_DIR="$work/root$prefix" \
    -DOPENSSL_USE_STATIC_LIBS=ON
}
build_ngtcp2() { cmake --build "$work/ngtcp2/build" -j "$jobs"; }
install_ngtcp2() { DESTDIR="$work/root" cmake --install "$work/ngtcp2/build"; }

# Things that we rely on and that a wrong configuration would lack.
check_tree() {  # tree
  local f
  for f in lib/libssl.a lib/libcrypto.a lib/libngtcp2.a lib/libngtcp2_crypto_ossl.a \
      include/openssl/ssl.h include/ngtcp2/ngtcp2.h include/ngtcp2/ngtcp2_crypto_ossl.h; do
    [[ -e "$1/$f" ]] || die "the build left no $f; log: $log"
  done
}

build_all() {
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  if ! flock -n 9; then say "another ./dev builds the dependencies; waiting"; flock 9; fi
  [[ $refresh == 0 ]] && is_built && return 0   # the other one did it

  work="$(mktemp -d "$cache/build.XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  log="$cache/setup.log"; : >"$log"
  setup_private_apt
  step "package lists of newer Debian suites" update_private_apt

  local openssl_list ngtcp2_list openssl_version ngtcp2_version key
  mapfile -t openssl_list < <(openssl_candidates)
  mapfile -t ngtcp2_list < <(ngtcp2_candidates)
  fetch_source openssl "${openssl_list[@]}"; openssl_version="$fetched_version"
  fetch_source ngtcp2 "${ngtcp2_list[@]}"; ngtcp2_version="$fetched_version"
  dpkg --compare-versions "$openssl_version" ge "$kOpensslWanted" ||
    say "  note: OpenSSL $openssl_version is the newest that this Debian source serves; $kOpensslWanted or newer is better (./dev setup --refresh looks again)"

  key="openssl-$openssl_version-ngtcp2-$ngtcp2_version-r$kRecipe"
  prefix="$cache/${key//[^A-Za-z0-9._-]/_}"
  if [[ ! -e $prefix/.complete ]]; then
    step "openssl $openssl_version: configure" configure_openssl || fail
    step "openssl $openssl_version: build" build_openssl || fail
    step "openssl $openssl_version: install" install_openssl || fail
    patch_ngtcp2 >>"$log" 2>&1 ||
      say "  note: tools/deps/ngtcp2-forgive-loss.patch does not fit ngtcp2 $ngtcp2_version: without it links slow down at every loss"
    step "ngtcp2 $ngtcp2_version: configure" configure_ngtcp2 || fail
    step "ngtcp2 $ngtcp2_version: build" build_ngtcp2 || fail
    step "ngtcp2 $ngtcp2_version: install" install_ngtcp2 || fail
    check_tree "$work/root$prefix"
    printf 'recipe %s\nopenssl %s\nngtcp2 %s\n' "$kRecipe" "$openssl_version" "$ngtcp2_version" \
      >"$work/root$prefix/.complete"
    rm -rf "$prefix"
    mv "$work/root$prefix" "$prefix"
  fi
  ln -sfn "$(basename "$prefix")" "$current"
  rm -rf "$apt_dir"
  say "dependencies ready: openssl $openssl_version, ngtcp2 $ngtcp2_version in $prefix"
}

# --- 5. libipsec-mb -------------------------------------------------------------------------------

# The package, from the first suite that has it; leaves its tree in $work/ipsec-mb.
fetch_ipsec_mb() {
  local suite
  for suite in $kIpsecMbSuites; do  # version in ipsec_mb_version
    mkdir -p "$work/deb"
    if try_step "libipsec-mb of $suite: download" retry 3 env -C "$work/deb" \
        apt-get "${apt_options[@]}" download "libipsec-mb-dev/$suite"; then
      ipsec_mb_version="$(dpkg-deb --field "$work"/deb/*.deb Version)"
      dpkg-deb --extract "$work"/deb/*.deb "$work/ipsec-mb" && return 0
    fi
    rm -rf "$work/deb"
  done
  return 1
}

# Its archive and header go beside the static libraries. In a subshell: whatever fails or dies here
# is no failure of the setup.
unpack_ipsec_mb() {
  work="$(mktemp -d "$cache/build.XXXXXX")" || exit 1
  trap 'rm -rf "$work" "$apt_dir"' EXIT
  log="$cache/setup-ipsec-mb.log"; : >"$log"
  setup_private_apt
  write_apt_sources deb $kIpsecMbSuites
  step "package lists of newer Debian suites, for libipsec-mb" update_private_apt
  fetch_ipsec_mb &&
    install -m 644 "$work/ipsec-mb/usr/include/intel-ipsec-mb.h" "$1/include/" &&
    install -m 644 "$work"/ipsec-mb/usr/lib/*/libIPSec_MB.a "$1/lib/" &&
    echo "$ipsec_mb_version"
}

# A tree for which it was looked says so, also if this Debian source does not serve it. What a tree
# has stays when there is no other to be had.
add_ipsec_mb() {
  local tree version
  exec 8>"$cache/lock.ipsec-mb"
  flock 8
  [[ $refresh == 0 ]] && has_ipsec_mb && return 0
  tree="$(readlink -f "$current")"
  version="$(unpack_ipsec_mb "$tree")" || version=""
  if [[ -z $version && -e $tree/lib/libIPSec_MB.a ]] && has_ipsec_mb; then
    say "  note: no other libipsec-mb to be had: what is there stays"
    return 0
  fi
  sed -i '/^ipsec-mb /d' "$tree/.complete"
  echo "ipsec-mb ${version:-none}" >>"$tree/.complete"
  if [[ -n $version ]]; then say "dependencies ready: libipsec-mb $version in $tree"
  else say "  note: no libipsec-mb to be had: AES-GCM is OpenSSL's, which is slower (./dev setup --refresh looks again)"; fi
}

fail() { tail -n 25 "$log" >&2; die "building the dependencies failed; log: $log"; }

refresh=0
[[ ${1:-} == --refresh ]] && refresh=1
if [[ $refresh == 1 ]] || ! is_built; then
  if system_is_new_enough; then echo system; exit 0; fi
  build_all
fi
if [[ $refresh == 1 ]] || ! has_ipsec_mb; then add_ipsec_mb; fi
readlink -f "$current"
