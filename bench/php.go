package main

import (
	"os"
	"path/filepath"
)

const phpProgram = "php-cgi"

func phpFolder(s *settings) string { return filepath.Join(s.work, "php") }
func phpSocket(s *settings) string { return filepath.Join(s.work, "php.sock") }

func phpConfig(s *settings) string {
	preparePHP(s)
	return s.write("php.toml", []string{
		"[[host]]", `root = "` + phpFolder(s) + `"`,
		"[[host.route]]", `match = "*.php"`, "php = { children = 2, max-requests = 1000000000 }",
	})
}

// phpBeside is for servers that do not start PHP themselves. It returns a command that starts PHP and then the server.
func phpBeside(s *settings) []string {
	preparePHP(s)
	os.Remove(phpSocket(s))
	return []string{"/bin/sh", "-c",
		`PHP_FCGI_CHILDREN=2 PHP_FCGI_MAX_REQUESTS=0 php-cgi -b "$0" & while [ ! -S "$0" ]; do sleep 0.05; done; ` +
			`exec "$@"`, phpSocket(s)}
}

func preparePHP(s *settings) {
	if err := os.MkdirAll(phpFolder(s), 0o755); err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(phpFolder(s), "hello.php"), []byte("<?php echo \"hello, world\\n\";"),
		0o644); err != nil {
		panic(err)
	}
}
