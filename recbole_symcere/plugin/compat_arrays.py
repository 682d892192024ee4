"""Names that NumPy and SciPy have dropped since RecBole 1.2.1."""

__all__ = ["numpy_aliases", "scipy_dok_update"]


def numpy_aliases() -> None:
    """NumPy >= 1.24 and 2: names that RecBole and Ray 2.6.3 still use (#2162, PR #2203)."""
    import numpy as np

    for name, value in (
        ("bool8", np.bool_),
        ("complex_", np.complex128),
        ("float", np.float64),
        ("float_", np.float64),
        ("unicode_", np.str_),
    ):
        if name not in vars(np):
            setattr(np, name, value)


def scipy_dok_update() -> None:
    """SciPy >= 1.13: `dok_matrix._update`, which LightGCN, NGCF and others call (#2034, #2185)."""
    from scipy.sparse import dok_matrix

    if not hasattr(dok_matrix, "_update"):
        dok_matrix._update = lambda self, entries: self._dict.update(entries)
