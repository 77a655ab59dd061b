// Package settings knows every setting of fapws: its flag, its variable in the environment, its name as a global of
// the script, its default, its limits and its help. Each is one row of rows_*.go; the command line, --help,
// --print-config, the man page, the completion of bash and docs/settings.md are read off these rows. Start reading at
// table.go.
//
// A setting takes its value from the first of these places that has one: flag, environment, file, script, default.
// The package does no I/O and needs no Python; most packages of cmd/fapws use it. foreign.go answers flags and
// commands of other servers.
package settings
