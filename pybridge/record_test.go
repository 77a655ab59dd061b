package pybridge

import (
	"testing"
	"unsafe"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
)

// The members that C sets while a request runs must not remain for the next request of the record.
func TestRequestInAUsedRecordBeginsAnew(t *testing.T) {
	fresh, used := newRecord(), newRecord()
	left := unsafe.Slice((*byte)(unsafe.Pointer(&used.run)), unsafe.Sizeof(used.run))
	for i := range left {
		left[i] = 1
	}
	r := &exchange.Request{Head: noticeHead, Parsed: &noticeParsed, Path: []byte("/"), Spool: -1, Peer: &exchange.Peer{}}
	copyRequest(fresh, r, "")
	copyRequest(used, r, "")
	checktest.Truef(t, used.run == fresh.run, "%+v, want %+v", used.run, fresh.run)
	checktest.Equal(t, int64(fresh.run.declared), -1)
}
