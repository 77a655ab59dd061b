-- Sends 16 requests in one write and waits for the 16 answers.
dofile(os.getenv("BENCH_LUA") .. "/report.lua")

local batch

function init()
  batch = string.rep(wrk.format("GET"), 16)
end

function request()
  return batch
end
