package ctl

import (
	"fmt"
	"strings"
	"time"

	"fapws/runtime/metrics"
)

// TLSView is what happened with TLS.
type TLSView struct {
	Connections  float64            `json:"connections"`
	InProgress   float64            `json:"handshakes_in_progress"`
	Rate         float64            `json:"handshake_rate"` // successful ones per second
	Handshakes   map[string]float64 `json:"handshakes"`     // ever, by kind: full, resumed
	Failures     map[string]float64 `json:"failures"`       // ever, by reason; without those that have never been
	Certificates map[string]float64 `json:"certificates"`   // seconds until they expire, by the first name in them
}

// tlsView returns what happened between two Overviews, nil without TLS.
func tlsView(before, now *Overview, seconds float64) *TLSView {
	const handshakes = "fapws_tls_handshakes"
	if metrics.Find(now.Metrics, handshakes) == nil {
		return nil
	}
	v := &TLSView{
		Connections: value(now, "fapws_tls_connections"), InProgress: value(now, "fapws_tls_handshakes_in_progress"),
		Handshakes: map[string]float64{}, Failures: map[string]float64{}, Certificates: map[string]float64{},
	}
	each(now, handshakes, func(s *metrics.Series) {
		v.Handshakes[s.Label("kind")] = s.Value
		if old := find(before, handshakes, s.Labels); old != nil {
			v.Rate += max(0, s.Value-old.Value) / seconds
		}
	})
	each(now, "fapws_tls_handshake_failures", func(s *metrics.Series) {
		if s.Value > 0 {
			v.Failures[s.Label("reason")] = s.Value
		}
	})
	each(now, "fapws_tls_certificate_expiry_timestamp_seconds", func(s *metrics.Series) {
		v.Certificates[s.Label("name")] = s.Value - float64(time.Now().Unix())
	})
	return v
}

// String is a line about v.
func (v *TLSView) String() string {
	var b strings.Builder
	full, resumed, failed := v.Handshakes["full"], v.Handshakes["resumed"], 0.0
	for _, n := range v.Failures {
		failed += n
	}
	fmt.Fprintf(&b, "TLS: %.0f connections, %.1f handshakes/s; ever: %.0f full, %.0f resumed, %.0f failed", v.Connections, v.Rate, full, resumed, failed)
	name, left := "", 0.0
	for one, seconds := range v.Certificates {
		if name == "" || seconds < left || seconds == left && one < name {
			name, left = one, seconds
		}
	}
	switch {
	case name == "":
	case left <= 0:
		fmt.Fprintf(&b, "; the certificate for %s has expired", name)
	default:
		fmt.Fprintf(&b, "; the certificate for %s expires in %.0f days", name, left/86400)
	}
	return b.String()
}
