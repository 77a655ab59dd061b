package settings

import (
	"testing"

	"fapws/runtime/checktest"
)

func TestSmallMachinesStartFewerThreadsByDefault(t *testing.T) {
	for _, tt := range []struct {
		limit   int64 // in MiB
		workers int
		want    int
	}{{0, 1, 8}, {32, 1, 2}, {64, 1, 2}, {96, 1, 2}, {128, 1, 4}, {256, 1, 8}, {256, 2, 4}, {256, 4, 2}, {4096, 4, 8}} {
		got := defaultThreads(8, requestMemory(tt.limit<<20, tt.workers))
		checktest.Truef(t, got == tt.want, "%d MiB, %d workers: %d threads, want %d", tt.limit, tt.workers, got, tt.want)
	}
}
