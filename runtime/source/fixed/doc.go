// Package fixed answers requests from memory, on the event loop: with a response that is always the same, or by sending
// clients to another URL, which is filled in from a template of package route. The configuration
// (cmd/fapws/site/answers.go) mounts it.
package fixed
