package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxBodyBytes bounds the part of an answer that is kept.
const maxBodyBytes = 1 << 20

// streamEnd is the last event of a whole OpenAI stream.
const streamEnd = "data: [DONE]"

// request is what to send, filled from flags.
type request struct {
	url, body string
	headers   headerFlags
	timeout   time.Duration
	stream    bool // the answer must end with streamEnd
}

// headerFlags collects repeated -header "Name: value" flags.
type headerFlags []string

func (h *headerFlags) String() string { return strings.Join(*h, ", ") }

func (h *headerFlags) Set(line string) error {
	if !strings.Contains(line, ":") {
		return fmt.Errorf("header %q lacks a colon", line)
	}
	*h = append(*h, line)
	return nil
}

func (r *request) flags(set *flag.FlagSet) {
	set.StringVar(&r.url, "url", "", "where to send it")
	set.StringVar(&r.body, "body", "", "JSON to POST; GET without it")
	set.Var(&r.headers, "header", "header line, may be given again")
	set.DurationVar(&r.timeout, "timeout", time.Minute, "for one whole exchange")
	set.BoolVar(&r.stream, "stream", false, "the answer must end with "+streamEnd)
}

// answer is what came back for one request.
type answer struct {
	Status      int     `json:"status"`
	FirstByteMs float64 `json:"firstByteMs"`
	TotalMs     float64 `json:"totalMs"`
	Body        string  `json:"body"`
	Error       string  `json:"error,omitempty"`
}

// problem says why the answer does not count as whole, or is empty.
func (a *answer) problem(stream bool) string {
	switch {
	case a.Error != "":
		return a.Error
	case a.Status != http.StatusOK:
		return fmt.Sprintf("status %d: %.200s", a.Status, a.Body)
	case stream && !strings.HasSuffix(strings.TrimSpace(a.Body), streamEnd):
		return fmt.Sprintf("stream was cut after %d bytes", len(a.Body))
	}
	return ""
}

// send does one exchange on a connection of its own.
func (r *request) send() answer {
	start := time.Now()
	since := func() float64 { return float64(time.Since(start).Microseconds()) / 1000 }
	outgoing, err := r.build()
	if err != nil {
		return answer{Error: err.Error()}
	}
	client := &http.Client{Timeout: r.timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	incoming, err := client.Do(outgoing)
	if err != nil {
		return answer{Error: err.Error(), TotalMs: since()}
	}
	defer incoming.Body.Close()
	result := answer{Status: incoming.StatusCode}
	first := make([]byte, 1)
	n, err := io.ReadFull(incoming.Body, first)
	result.FirstByteMs = since()
	var rest []byte
	if err == nil {
		rest, err = io.ReadAll(io.LimitReader(incoming.Body, maxBodyBytes))
	}
	if err != nil && err != io.EOF {
		result.Error = fmt.Sprintf("body broke off: %v", err)
	}
	result.TotalMs = since()
	result.Body = string(append(first[:n], rest...))
	return result
}

func (r *request) build() (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if r.body != "" {
		method, body = http.MethodPost, strings.NewReader(r.body)
	}
	outgoing, err := http.NewRequest(method, r.url, body)
	if err != nil {
		return nil, err
	}
	if r.body != "" {
		outgoing.Header.Set("Content-Type", "application/json")
	}
	for _, line := range r.headers {
		name, value, _ := strings.Cut(line, ":")
		outgoing.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return outgoing, nil
}

// get sends one request and reports its answer, whatever the status is.
func get(arguments []string) error {
	set, one := flag.NewFlagSet("get", flag.ExitOnError), request{}
	one.flags(set)
	_ = set.Parse(arguments)
	return report(one.send())
}
