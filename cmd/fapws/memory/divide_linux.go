package memory

import "golang.org/x/sys/unix"

// divide makes several mappings of one, by advice that every other one gets. From Linux 6.18 on, a fault maps the whole folio of the page
// cache that it meets, up to 2 MiB, if that is within the mapping: an executable that was just written was resident with 17 MB where 7
// were needed. Where the kernel has no such folios, it does not take the advice.
func divide(start, end uintptr) {
	for at := start; at+divided < end; at += 2 * divided {
		madvise(at, divided, unix.MADV_NOHUGEPAGE)
	}
}
