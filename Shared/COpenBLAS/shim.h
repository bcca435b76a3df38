#pragma once
#include <cblas.h>

// LAPACK, which OpenBLAS has and cblas.h does not declare: eigenvalues and eigenvectors of a symmetric matrix.
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info);
