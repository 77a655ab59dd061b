package programs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestGateOrder(t *testing.T) { synctest.Test(t, testGateOrder) }

func testGateOrder(t *testing.T) {
	g := NewGate(1, 3)
	ctx := context.Background()
	if err := g.Enter(ctx); err != nil {
		t.Fatal(err)
	}
	order := make(chan int)
	left, leave := context.WithCancel(ctx)
	for i := range 3 {
		c := ctx
		if i == 1 {
			c = left
		}
		go func() {
			if err := g.Enter(c); err == nil {
				order <- i
				g.Leave()
			} else {
				order <- -1
			}
		}()
		synctest.Wait() // each has come before the next
	}
	if err := g.Enter(ctx); !errors.Is(err, ErrBusy) {
		t.Errorf("a fourth: %v", err)
	}
	leave()
	if got := <-order; got != -1 {
		t.Errorf("%d came in without a place", got)
	}
	g.Leave()
	for _, want := range []int{0, 2} {
		if got := <-order; got != want {
			t.Errorf("%d before %d", got, want)
		}
	}
	if err := g.Enter(ctx); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
