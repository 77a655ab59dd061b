-- Prints what the harness reads. Latencies are in microseconds.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %.0f %.0f %d\n",
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
