// Package tomlfile reads a configuration file in TOML (toml.io) into values that know the line they stand on, and
// those into the fields of a struct by the tag "key" (Decode). Mistakes are errors of one line that begin with
// "file:line: ". It does no I/O, and knows no setting: packages configfile, site and webconf use it. Start reading at
// File and Decode.
//
// The TOML library reports no line where keys repeat, as in [[host]], so locate.go walks the text once more, which
// the library has accepted, and only finds ends of things. go-toml 2.2.4, whose parser has positions, was tried: it
// would save 170 of 1,070 lines, but its decoder names no line for a key or table that is defined twice, and where a
// word has no quotes it reports an "incomplete number" instead of the word.
package tomlfile
