from lupa import lua51 as lua51
