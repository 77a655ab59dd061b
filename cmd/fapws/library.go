//go:build library

package main

import "fapws/cmd/fapws/process"

func init() { process.Main = main }
