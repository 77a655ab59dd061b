//go:build !linux

package system

const onDemand = 0
