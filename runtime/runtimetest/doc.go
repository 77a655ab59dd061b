// Package runtimetest helps tests of packages that need a whole server.
package runtimetest
