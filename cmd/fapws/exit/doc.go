// Package exit has the exit codes of fapws, the errors that carry them to main, and the limit on how long an ending
// process may take. All packages of cmd/fapws may import it; it imports none. Start reading at Error and Report.
package exit
