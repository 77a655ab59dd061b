package ssi

import (
	"fmt"
	"time"

	"fapws/runtime/strftime"
)

// maxTime is the maximum of a formatted time, in bytes.
const maxTime = 8192

// formatTime formats t as strftime(3) does.
func formatTime(format string, t time.Time) string {
	text := strftime.Append(nil, format[:min(len(format), maxTime)], t)
	return string(text[:min(len(text), maxTime)])
}

// formatSize is a number of bytes in four characters: "973 ", " 12K", "1.5M".
func formatSize(size int64) string {
	if size < 973 {
		return fmt.Sprintf("%3d ", size)
	}
	for _, unit := range "KMGTPE" {
		rest := size & 1023
		size >>= 10
		if size >= 973 {
			continue
		}
		if size < 9 || size == 9 && rest < 973 {
			if rest = (rest*5 + 256) / 512; rest >= 10 {
				size, rest = size+1, 0
			}
			return fmt.Sprintf("%d.%d%c", size, rest, unit)
		}
		if rest >= 512 {
			size++
		}
		return fmt.Sprintf("%3d%c", size, unit)
	}
	return "****"
}

// groupDigits is a number with a comma between thousands.
func groupDigits(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
