package pool

// assign divides the sockets of an address among slots. serving says which
// slots have a worker that accepts. It returns for each slot the sockets, by
// number, on which its worker shall accept.
//
// Every slot has sockets of its own, which do not depend on who serves, so that
// a worker's successor finds the connections that wait for it. Slots beyond the
// number of sockets share them. A socket none of whose owners serves is lent to
// one that does, so that no client waits for a worker that is still loading.
func assign(sockets int, serving []bool) [][]int {
	slots := len(serving)
	all := make([][]int, slots)
	var able []int
	owned := make([]bool, sockets) // by a slot that serves
	for slot := range slots {
		for n := range sockets {
			if owns(slot, n, slots, sockets) {
				all[slot] = append(all[slot], n)
				owned[n] = owned[n] || serving[slot]
			}
		}
		if serving[slot] {
			able = append(able, slot)
		}
	}
	for slot := range all {
		if !serving[slot] {
			all[slot] = nil
		}
	}
	if len(able) == 0 {
		return all
	}
	lent := 0
	for n := range sockets {
		if !owned[n] {
			slot := able[lent%len(able)]
			all[slot] = append(all[slot], n)
			lent++
		}
	}
	return all
}

func owns(slot, socket, slots, sockets int) bool {
	if slots <= sockets {
		return socket%slots == slot
	}
	return slot%sockets == socket
}
