package watch

import "golang.org/x/sys/unix"

// silent are file systems that are changed by others without the kernel of
// this machine knowing (statfs(2), linux/magic.h).
var silent = map[int64]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB",
	0x01021997: "9P",
	0x65735546: "FUSE",
	0x786f4256: "VirtualBox",
}

// silentFileSystem returns the name of the file system of a path if it is a silent one, or "".
func silentFileSystem(path string) string {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return ""
	}
	return silent[int64(uint32(st.Type))]
}
