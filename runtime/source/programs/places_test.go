package programs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"fapws/runtime/checktest"
)

// While one client has many requests, requests of other clients can still run or wait.
func TestGateLeavesPlacesToOtherClients(t *testing.T) { synctest.Test(t, testGateShares) }

func testGateShares(t *testing.T) {
	g := NewPlaces(4, 4)
	ctx := t.Context()
	entered := make(chan string, 20)
	enter := func(client string) {
		go func() {
			if g.Enter(ctx, client) == nil {
				entered <- client
			} else {
				entered <- client + " refused"
			}
		}()
		synctest.Wait()
	}
	wants := func(want ...string) {
		t.Helper()
		synctest.Wait()
		for _, one := range want {
			select {
			case got := <-entered:
				checktest.Equal(t, got, one)
			default:
				t.Errorf("nobody, want %s", one)
			}
		}
		checktest.Equalf(t, len(entered), 0, "further requests that entered")
	}
	for range 8 {
		enter("a")
	}
	wants("a", "a", "a", "a refused")
	enter("b")
	wants("b")
	enter("b")
	wants("a refused")
	g.Leave("a")
	wants("b")
	g.Leave("b")
	wants("a")
	g.Leave("b")
	wants()
	g.Leave("a")
	wants("a")
}

func TestGateIsEnteredInOrder(t *testing.T) { synctest.Test(t, testGateOrder) }

func testGateOrder(t *testing.T) {
	g := NewPlaces(1, 3)
	ctx := context.Background()
	checktest.Must(t, g.Enter(ctx, ""))
	order := make(chan int)
	left, leave := context.WithCancel(ctx)
	for i := range 3 {
		c := ctx
		if i == 1 {
			c = left
		}
		go func() {
			if err := g.Enter(c, ""); err == nil {
				order <- i
				g.Leave("")
			} else {
				order <- -1
			}
		}()
		synctest.Wait()
	}
	err := g.Enter(ctx, "")
	checktest.Truef(t, errors.Is(err, ErrBusy), "a fourth: %v", err)
	leave()
	checktest.Equalf(t, <-order, -1, "entered without a place")
	g.Leave("")
	for _, want := range []int{0, 2} {
		checktest.Equalf(t, <-order, want, "before")
	}
	checktest.Equalf(t, g.Enter(ctx, ""), nil, "afterwards")
}
