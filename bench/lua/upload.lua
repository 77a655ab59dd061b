-- Posts 2 MB.
dofile(os.getenv("BENCH_LUA") .. "/report.lua")

wrk.method = "POST"
wrk.body = string.rep("b", 2000000)
wrk.headers["Content-Type"] = "application/octet-stream"
