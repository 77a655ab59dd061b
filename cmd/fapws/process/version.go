package process

// Version is set by build.sh.
var Version = "dev"

// Software names the program as SERVER_SOFTWARE does (RFC 3875 §4.1.17).
func Software() string { return "fapws/" + Version }
