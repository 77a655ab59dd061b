package settings

import (
	"testing"

	"fapws/runtime/checktest"
)

func TestSmallMachinesStartFewerThreads(t *testing.T) {
	for _, tt := range []struct {
		limit            int64 // in MiB
		workers, n, want int
	}{{0, 1, 8, 8}, {32, 1, 8, 2}, {64, 1, 8, 2}, {64, 1, 1, 1}, {64, 1, 0, 0}, {64, 2, 32, 2}, {96, 1, 8, 2}, {128, 1, 8, 4},
		{256, 1, 8, 8}, {256, 1, 32, 9}, {256, 2, 8, 4}, {256, 4, 8, 2}, {4096, 4, 8, 8}, {4096, 4, 32, 32}} {
		got := limitThreads(tt.n, requestMemory(tt.limit<<20, tt.workers))
		checktest.Truef(t, got == tt.want, "%+v: %d threads", tt, got)
	}
}
