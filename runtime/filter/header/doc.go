// Package header looks at the fields of responses and changes them: what rules set, add and remove. It does no I/O, and
// values are safe for concurrent use once they are made.
package header
