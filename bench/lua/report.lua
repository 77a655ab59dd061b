-- Prints what the harness reads. Latencies are in microseconds.

-- wrk counts whole microseconds. That is coarse where a request takes seven of them,
-- so the median is found within its microsecond, by how many requests are below it.
local function median(latency, requests)
  local whole = latency:percentile(50)
  local below = 0
  for i = 1, #latency do
    local value, count = latency(i)
    if value >= whole then
      return whole + math.min(1, math.max(0, (requests / 2 - below) / count))
    end
    below = below + count
  end
  return whole
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %.2f %.0f %d\n",
    summary.requests, summary.duration, summary.bytes,
    median(latency, summary.requests), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
