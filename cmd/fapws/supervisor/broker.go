package supervisor

import (
	"fapws/cmd/fapws/broker"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/runtime/metrics"
)

// connectBroker connects to the broker of channels, perhaps as the program before did.
func (p *supervisor) connectBroker(handover *pool.Handover) (err error) {
	epoch := ""
	if handover.Place(p.plan.Broker.String()).Entry != "" {
		epoch = handover.Epoch
	}
	if p.broker, err = broker.Connect(p.plan.Broker, epoch, p.log.Log); err != nil {
		return process.ExitNotStarted("%v", err)
	}
	return nil
}

// relay is pool.Options.Broker.
func (p *supervisor) relay() pool.Broker {
	if p.broker == nil {
		return nil // and not a nil pointer in an interface
	}
	return p.broker
}

// brokerMetrics are those of the broker of channels.
func (p *supervisor) brokerMetrics() []metrics.Family {
	if p.broker == nil {
		return nil
	}
	s, up := p.broker.State(), 1.0
	if s.Away > 0 {
		up = 0
	}
	return []metrics.Family{
		metrics.One("fapws_broker_up", metrics.Gauge, "", "Whether the broker of channels answers: 1 or 0.", up),
		metrics.One("fapws_broker_waiting_events", metrics.Gauge, "", "Events that wait for the broker.", float64(s.Waiting)),
		metrics.One("fapws_broker_lost_events", metrics.Counter, "", "Events that were dropped because too many waited for the broker.", float64(s.Lost)),
	}
}
