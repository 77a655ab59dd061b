package eventloop

import (
	"slices"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

const queuePatience = checktest.Patience

func TestQueueDeliversItemsOnceInOrder(t *testing.T) {
	const n = 10_000
	got := make([]int, 0, n)
	q := NewQueue(func(some []int) { got = append(got, some...) })
	want := make([]int, n)
	for i := range want {
		want[i] = i
		checktest.Needf(t, q.Add(i), "Add on an open queue returned false")
	}
	q.Wait(queuePatience)
	checktest.Equalf(t, got, want, "%d items in another order or number", len(got))
}

func TestHeldQueueDeliversEverythingAfterwards(t *testing.T) {
	batches := make(chan []string, 3)
	q := NewQueue(func(some []string) { batches <- some })
	q.Hold(true)
	q.Add("a", "b")
	q.Add("c")
	q.Wait(queuePatience)
	checktest.Needf(t, len(batches) == 0, "a batch was carried while held")
	q.Hold(false)
	checktest.Equal(t, <-batches, []string{"a", "b", "c"})
}

func TestCloseOfAQueueWaitsForCarryAndDropsTheRest(t *testing.T) {
	began, goOn := make(chan bool), make(chan bool)
	var carried []int
	q := NewQueue(func(some []int) {
		began <- true
		<-goOn
		carried = append(carried, some...)
	})
	q.Add(1)
	<-began
	q.Add(2)
	closed := make(chan bool)
	go func() { q.Close(); close(closed) }()
	for q.Add() {
	}
	select {
	case <-closed:
		t.Fatal("closed while carry runs")
	default:
	}
	goOn <- true
	<-closed
	checktest.Truef(t, slices.Equal(carried, []int{1}) && !q.Add(3), "carried %v", carried)
}

func TestWaitForAQueueIsLimited(t *testing.T) {
	goOn := make(chan bool)
	q := NewQueue(func([]int) { <-goOn })
	q.Add(1)
	q.Wait(time.Millisecond)
	close(goOn)
	q.Wait(queuePatience)
}
