package system

import "golang.org/x/sys/unix"

// onDemand makes memory count only when it is used, also where the kernel grants no more than there is.
const onDemand = unix.MAP_NORESERVE
