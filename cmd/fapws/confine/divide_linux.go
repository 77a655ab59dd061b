package confine

import "golang.org/x/sys/unix"

// divide makes several mappings of one, by advice that every other one gets. From Linux 6.18 on, a fault maps the whole folio of the page
// cache that it meets, up to 2 MiB, if that is within the mapping: an executable that was just written was resident with 17 MB where 7
// were needed. Where the kernel has no such folios, it does not take the advice.
func divide(start, end uintptr) {
	if end-start <= divided {
		return // also a piece that was made before: with the next one's advice, they would be one again
	}
	for at := start; at < end; at += 2 * divided {
		madvise(at, min(divided, end-at), unix.MADV_NOHUGEPAGE)
	}
}
