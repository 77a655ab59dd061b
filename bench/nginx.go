package main

import "os"

func nginxConfig(port int, w *workload, s *settings) string {
	lines := []string{
		"daemon off;", "worker_processes 1;", "pid " + s.work + "/nginx.pid;",
		"events { worker_connections 4096; }",
		"http {",
		"  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;",
		"  open_file_cache max=1000; open_file_cache_valid 60s; types { application/octet-stream bin; text/html " +
			"html; text/plain txt; }",
	}
	root := s.work + "/documents"
	if w.folder {
		root = s.folder()
		lines = append(lines, "  autoindex on;")
	}
	if w.name == "gzip" {
		lines = append(lines, "  gzip on; gzip_min_length 1024;")
	}
	if w.name == "gzipstatic" {
		lines = append(lines, "  gzip_static on;")
	}
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		lines = append(lines, "  "+kind+"_temp_path "+s.work+"/nginx-tmp;")
	}
	if w.php {
		lines = append(lines, "  upstream php { server unix:"+phpSocket(s)+"; keepalive 2; }")
	}
	var before, proxied []string
	if w.origin != nil {
		before, proxied = nginxProxy(w)
	}
	lines = append(lines, before...)
	origin := "unix:" + s.work + "/origin.sock"
	if w.origin == nil {
		os.Remove(s.work + "/origin.sock") // the socket is left if a run was killed
		lines = append(lines, "  server { listen "+origin+"; root "+s.work+"/origin; default_type text/html; }")
	}
	lines = append(lines,
		"  proxy_cache_path "+s.work+"/nginx-cache keys_zone=pages:1m;",
		"  server { listen "+address(port)+nginxListens(w, s)+" root "+root+";",
		"    location /cached { proxy_pass http://"+origin+
			"; proxy_cache pages; proxy_cache_valid 1h; add_header Fapws-Cache $upstream_cache_status; }",
	)
	if w.origin == nil {
		lines = append(lines, "    location = /hello { default_type text/plain; return 200 \"Hello world!\\n\"; }")
	}
	lines = append(lines, proxied...)
	if w.php {
		lines = append(lines, "    location /hello.php { fastcgi_pass php; fastcgi_keep_conn on; root "+phpFolder(s)+
			"; include /etc/nginx/fastcgi.conf; }")
	}
	lines = append(lines, "  }", "}")
	if os.Geteuid() == 0 {
		// nginx's default user has no permission to read the build folder.
		lines = append([]string{"user root;"}, lines...)
	}
	return s.write("nginx.conf", lines)
}

// With TLS, nginx uses only the cipher that crypto/tls prefers, so nginx and fapws use the same cipher.
func nginxListens(w *workload, s *settings) string {
	if !w.tls {
		return ";"
	}
	secure := " ssl; ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_certificate " +
		s.certificate() + "; ssl_certificate_key " + s.key() + ";"
	if w.streams > 0 {
		return " http2" + secure
	}
	return secure
}
