package main

func lighttpdConfig(port int, w *workload, s *settings) string {
	return s.write("lighttpd.conf", []string{
		`server.bind = "127.0.0.1"`, "server.port = " + address(port)[len("127.0.0.1:"):],
		`server.document-root = "` + s.folder() + `"`, `server.modules = ( "mod_dirlisting" )`,
		`dir-listing.activate = "enable"`,
		"server.max-keep-alive-requests = 65535", "server.max-connections = 4096", "server.max-fds = 8192",
		`server.network-backend = "sendfile"`, `server.stat-cache-engine = "simple"`,
		`mimetype.assign = ( ".html" => "text/html", ".txt" => "text/plain", "" => "application/octet-stream" )`,
	})
}
