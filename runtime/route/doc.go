// Package route decides where a request goes: which site, which mount of its table, with what
// path, for which client, or why it is refused.
//
// It does no I/O and keeps nothing but scratch memory. What only the disk or a password hash
// can tell, a Decision asks for: see Outcome. Who answers is known to the caller alone; here a
// mount is an index.
//
// All decisions are made on the one canonical path of a request (http1.ResolvePath), so that
// no other spelling of a path gets past a mount or its rules.
package route
