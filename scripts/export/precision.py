def precision_table(*a): raise NotImplementedError
