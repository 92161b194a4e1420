package main

import (
	"flag"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxClients, maxRequests and maxFailures bound a run and its report.
const (
	maxClients  = 64
	maxRequests = 100_000
	maxFailures = 20
)

// run is the state that the clients of one load share.
type run struct {
	request  request
	limit    int64
	deadline time.Time
	sent     atomic.Int64
	stopped  atomic.Bool

	mutex    sync.Mutex
	OK       int64    `json:"ok"`
	Failed   int64    `json:"failed"`
	Failures []string `json:"failures"`
	MaxMs    float64  `json:"maxMs"`
}

// load sends requests from several clients until the count, the time or `GET /stop` ends it, lets
// open exchanges finish, and reports. `GET /` on the control port says how far it is.
func load(arguments []string) error {
	set, shared := flag.NewFlagSet("load", flag.ExitOnError), &run{Failures: []string{}}
	shared.request.flags(set)
	clients := set.Int("clients", 4, "clients at the same time")
	set.Int64Var(&shared.limit, "requests", 1000, "requests in all")
	limit := set.Duration("duration", time.Minute, "no new request after this time")
	control := set.String("control", ":8090", "address of the control port")
	_ = set.Parse(arguments)
	if *clients < 1 || *clients > maxClients || shared.limit < 1 || shared.limit > maxRequests {
		return fmt.Errorf("clients must be 1 to %d, requests 1 to %d", maxClients, maxRequests)
	}
	shared.deadline = time.Now().Add(*limit)
	go shared.listen(*control)
	var group sync.WaitGroup
	for range *clients {
		group.Go(shared.client)
	}
	group.Wait()
	return report(shared)
}

func (r *run) listen(address string) {
	http.HandleFunc("/stop", func(http.ResponseWriter, *http.Request) { r.stopped.Store(true) })
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		fmt.Fprintf(w, `{"ok":%d,"failed":%d}`, r.OK, r.Failed)
	})
	fmt.Println(http.ListenAndServe(address, nil))
}

// client sends one request after the other.
func (r *run) client() {
	for !r.stopped.Load() && time.Now().Before(r.deadline) && r.sent.Add(1) <= r.limit {
		result := r.request.send()
		r.count(&result)
	}
}

func (r *run) count(result *answer) {
	problem := result.problem(r.request.stream)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.MaxMs = max(r.MaxMs, result.TotalMs)
	if problem == "" {
		r.OK++
		return
	}
	r.Failed++
	if len(r.Failures) < maxFailures {
		r.Failures = append(r.Failures, fmt.Sprintf("%s %s", time.Now().UTC().Format("15:04:05.000"), problem))
	}
}
