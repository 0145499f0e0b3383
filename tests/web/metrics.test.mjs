// web/metrics.js against text as a node has it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { buckets, bytesText, countText, parsePage, quantile, spanText, sum, timeText } from "../../web/metrics.js";

const kPage = `# TYPE qudag_bytes_total counter
qudag_bytes_total{direction="in"} 10
qudag_bytes_total{direction="out"} 2.5e3
qudag_links 3
odd{x="y" 1
qudag_build_seconds_bucket{le="0.001"} 90
qudag_build_seconds_bucket{le="0.002"} 100
qudag_build_seconds_bucket{le="+Inf"} 101
`;

test("rows are summed by their labels", () => {
  const page = parsePage(kPage);
  assert.equal(sum(page, "qudag_bytes_total"), 2510);
  assert.equal(sum(page, "qudag_bytes_total", { direction: "out" }), 2500);
  assert.equal(sum(page, "qudag_links"), 3);
  assert.equal(sum(page, "odd"), 0);
});

test("percentiles are linear within a bucket", () => {
  const page = parsePage(kPage), all = buckets(page, "qudag_build_seconds");
  assert.deepEqual(all.map(({ count }) => count), [90, 10, 1]);
  assert.ok(Math.abs(quantile(all, 0.5) - 0.001 * 50.5 / 90) < 1e-9);
  assert.equal(quantile(all, 0.999), 0.002);  // beyond the last end nothing is known
  assert.equal(quantile(buckets(page, "none"), 0.5), null);
  assert.equal(quantile(buckets(page, "qudag_build_seconds", {}, page), 0.5), null);
});

test("numbers are for people", () => {
  assert.equal(bytesText(1023), "1023 B");
  assert.equal(bytesText(3.25 * 1024 ** 2), "3.3 MiB");
  assert.equal(timeText(0.00087), "870 µs");
  assert.equal(timeText(0.0123), "12.3 ms");
  assert.equal(timeText(null), "–");
  assert.equal(countText(12345), "12 k");
  assert.equal(countText(2.134e6), "2.1 M");
  assert.equal(spanText(90061), "1 d 1 h");
  assert.equal(spanText(0), "0 s");
});
