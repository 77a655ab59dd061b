-- Posts 4 KiB.
dofile(os.getenv("BENCH_LUA") .. "/report.lua")

wrk.method = "POST"
wrk.body = string.rep("b", 4096)
wrk.headers["Content-Type"] = "application/octet-stream"
