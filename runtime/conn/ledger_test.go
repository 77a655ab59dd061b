package conn

import "testing"

// The first answer of a connection waits only for bytes that are being written, others for those that are queued, too.
func TestLedger(t *testing.T) {
	exceeded := ""
	u := Ledger{Max: 100, Exceeded: func(client string, bytes int64) { exceeded += client }}
	for _, step := range []struct {
		client          string
		sending, queued int64
		total           int64
		first, other    bool // Over of a
		anyOver, eased  bool
		exceeded        string
	}{
		{"a", 60, 0, 60, false, false, false, false, ""},
		{"b", 60, 0, 120, false, false, false, false, ""},
		{"a", 0, 41, 161, false, true, true, false, "a"},
		{"b", 41, 0, 202, false, true, true, false, "ab"},
		{"a", 41, 0, 243, true, true, true, false, "ab"},
		{"a", -1, 0, 242, false, true, true, true, "ab"},
		{"a", 0, -41, 201, false, false, true, true, "ab"},
		{"b", -101, 0, 100, false, false, false, true, "ab"},
		{"a", -100, 0, 0, false, false, false, false, "ab"},
	} {
		u.Add(step.client, step.sending, step.queued)
		if u.Total() != step.total || u.Over("a", true) != step.first || u.Over("a", false) != step.other ||
			u.AnyOver() != step.anyOver || u.Eased() != step.eased || exceeded != step.exceeded || u.Eased() {
			t.Errorf("%+v: total %d, over %v %v, exceeded %q", step, u.Total(), u.Over("a", true), u.Over("a", false), exceeded)
		}
	}
	if len(u.clients) > 0 {
		t.Errorf("%d clients for which nothing waits", len(u.clients))
	}
}
