// Package strftime formats times as strftime(3) of glibc does in the C locale, with its conversions %k %l %P %s, its
// flags _ - 0 ^ # and a width; E and O have no effect. It does no I/O and is safe for concurrent use. The access log
// and server-side includes use it.
package strftime
