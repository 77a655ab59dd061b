module fapws

go 1.25.0

require (
	github.com/go-python/cpy3 v0.2.0
	github.com/panjf2000/gnet/v2 v2.10.0
	github.com/spf13/pflag v1.0.10
	golang.org/x/sys v0.45.0
)
