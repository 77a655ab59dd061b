// Package version names the program in banners, in the field Server and in environments. build.sh sets the version
// when it links the executable.
package version
