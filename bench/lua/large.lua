-- Posts 200 MiB.
dofile(os.getenv("BENCH_LUA") .. "/report.lua")

wrk.method = "POST"
wrk.body = string.rep("b", 200 * 1024 * 1024)
wrk.headers["Content-Type"] = "application/octet-stream"
