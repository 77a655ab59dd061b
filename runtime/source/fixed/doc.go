// Package fixed answers requests with a response that is always the same, from memory, on the event loop. The
// configuration (cmd/fapws/site/answers.go) mounts it.
package fixed
