//go:build !linux

package descriptors

const onDemand = 0
