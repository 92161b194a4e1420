module github.com/querent-ai/realm/tests/cluster/probe

go 1.26.0
