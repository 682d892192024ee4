"""Graph encoders over users and items: the bipartite graph, its layers, LightGCN and NGCF."""
