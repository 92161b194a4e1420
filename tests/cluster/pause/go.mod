module github.com/querent-ai/realm/tests/cluster/pause

go 1.26.0
