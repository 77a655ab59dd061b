package pool

import (
	"reflect"
	"testing"
)

func TestAssign(t *testing.T) {
	const y, n = true, false
	for _, c := range []struct {
		sockets int
		serving []bool
		want    [][]int
	}{
		{2, []bool{y, y}, [][]int{{0}, {1}}},
		{2, []bool{y, n}, [][]int{{0, 1}, nil}},
		{2, []bool{n, y}, [][]int{nil, {1, 0}}},
		{2, []bool{n, n}, [][]int{nil, nil}},
		{2, nil, [][]int{}},
		{2, []bool{y}, [][]int{{0, 1}}},
		{2, []bool{y, y, y}, [][]int{{0}, {1}, {0}}},
		{2, []bool{n, y, y}, [][]int{nil, {1}, {0}}},
		{1, []bool{y, n, y}, [][]int{{0}, nil, {0}}},
		{4, []bool{y, y}, [][]int{{0, 2}, {1, 3}}},
		{4, []bool{y, n, y, n}, [][]int{{0, 1}, nil, {2, 3}, nil}},
	} {
		got := assign(c.sockets, c.serving)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("assign(%d, %v) = %v, want %v", c.sockets, c.serving, got, c.want)
		}
	}
}

// Whoever serves, nobody has to wait at a socket, and nobody is idle.
func TestAssignLeavesNoneOut(t *testing.T) {
	for sockets := 1; sockets <= 5; sockets++ {
		for slots := 1; slots <= 5; slots++ {
			for set := 1; set < 1<<slots; set++ {
				serving := make([]bool, slots)
				for i := range serving {
					serving[i] = set>>i&1 == 1
				}
				taken := map[int]bool{}
				for slot, list := range assign(sockets, serving) {
					if serving[slot] != (len(list) > 0) {
						t.Errorf("%d sockets, %v: slot %d has %v", sockets, serving, slot, list)
					}
					for _, n := range list {
						taken[n] = true
					}
				}
				if len(taken) != sockets {
					t.Errorf("%d sockets, %v: only %v are taken", sockets, serving, taken)
				}
			}
		}
	}
}
