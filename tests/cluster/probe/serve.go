package main

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// drain is how long a server that was told to end still answers: endpoints go first.
const drain = 3 * time.Second

// serve answers with the host's name and counts requests until it is told to end.
func serve([]string) error {
	var requests atomic.Int64
	var draining atomic.Bool
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if draining.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE probe_requests_total counter\nprobe_requests_total %d\n", requests.Load())
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		fmt.Fprintln(w, host)
	})
	failed := make(chan error, 1)
	go func() { failed <- http.ListenAndServe(":8080", nil) }()
	select {
	case err := <-failed:
		return err
	case <-told():
		draining.Store(true)
		time.Sleep(drain)
		return nil
	}
}
