// Package redirect answers requests by sending their clients to another URL, on the event loop. The URL is filled in
// from a template of package route. The configuration (cmd/fapws/site/answers.go) mounts it.
package redirect
