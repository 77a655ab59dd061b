// Package header looks at the fields of responses and changes them: the fields that rules set, add and remove. It
// does no I/O, and values are safe for concurrent use once they are made. Package sites applies the rules of a
// mount while it writes a response's head.
package header
